"""Dead letters: read (`read`), told (`entry`, `rows`, `whole`), judged (`route`, `overtaken`), sent back (`send`)."""
