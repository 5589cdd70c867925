"""The compiled loops; README.md beside this file says what they compute and how they are held."""
