"""What names mean: completion, inspection, the list of variables; and the thread that finds out."""
