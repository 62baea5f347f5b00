"""The ranks of a run: rendezvous, process group, failure detection and stop consensus."""
