"""How often the rule of verdicts claims what is not so, in worlds whose truth is known."""
