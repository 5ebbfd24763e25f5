"""How an HTTP endpoint of a language model is asked, one request and many, and how answers are read."""
