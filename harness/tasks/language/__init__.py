"""Language models: prompts in, text out, in one process or behind an HTTP endpoint."""
