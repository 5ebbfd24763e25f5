"""Sound and pictures from files, pictures into files; PyAV is imported here and nowhere else."""
