"""From a suite to what is to be done."""
