"""Claims about trained networks: judged from the evidence of a validation run."""
