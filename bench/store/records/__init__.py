"""What the JSON files of a run store hold: frozen models, checked when they are read and when written.

Every file carries the number of its format. What an older version wrote is brought up to date when it is
read (`upgrade`); the file itself stays as it was written. Keys that a model does not name are kept.
"""
