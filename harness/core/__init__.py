"""What everything else rests on: units, bounds, statistics, errors, processes; it imports nothing of the harness."""
