"""Briefs that are written to be refused, against several vendors' rules: how many come through, and at what price."""
