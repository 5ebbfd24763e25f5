"""Moving pictures: decoding, encoding, drawing; PyAV is imported here and nowhere else."""
