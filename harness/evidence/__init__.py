"""What is kept of a run: the ledger, the evidence as a file, and what is made from it later."""
