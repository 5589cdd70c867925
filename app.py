"""veloVI Explorer: router only. Start it with ``streamlit run app.py``."""

from velovi.ui.router import show_site

if __name__ == "__main__":
    show_site()
