"""The experiment: what trains networks and gathers the evidence that claims are judged by."""
