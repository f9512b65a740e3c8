"""What is asked: suites, recipes and model cards, from strict TOML."""
