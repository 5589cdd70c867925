"""Starts Streamlit: ``python -m velovi.ui.serve run app.py``.

Streamlit's own start lists the files in ``pages/`` until the app has declared its pages once; here
it knows from the beginning that there is nothing to list.
"""

from __future__ import annotations

from streamlit.runtime.pages_manager import PagesManager
from streamlit.web import cli


def main() -> None:
    """Run Streamlit's command line."""
    PagesManager.uses_pages_directory = False
    cli.main(prog_name="streamlit")


if __name__ == "__main__":
    main()
