"""veloVI Explorer: router only. Start it with ``streamlit run app.py``."""

from velovi.ui.navigation import navigate

if __name__ == "__main__":
    current = navigate()  # before anything that takes long to load
    from velovi.ui.router import show_site

    show_site(current)
