"""Five additions to lasem, a file each. `pyproject.toml` gives them their names."""
