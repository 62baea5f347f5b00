"""The ranks of a run: who they are, how they meet, fail and stop together."""
