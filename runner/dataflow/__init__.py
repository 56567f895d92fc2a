"""Which cell depends on which, what is structurally wrong, and what has to run; nothing is run here."""
