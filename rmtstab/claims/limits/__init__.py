"""Claims about the high-dimensional limits: the rate at which sampled instances reach each."""
