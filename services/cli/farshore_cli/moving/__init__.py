"""Moving a registry's primary to another site: what is seen, what follows from it, and how it is done."""
