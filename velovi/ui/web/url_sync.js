// Keeps in the address what the reader chose, which turning to another page takes out of it, and
// tells the server when the reader went back. Part of veloVI Explorer, BSD-3-Clause.

export default function ({ data, parentElement, setTriggerValue }) {
  parentElement.velovi ??= {};
  const state = parentElement.velovi;
  const here = () => location.pathname.endsWith(`/${state.page}`);
  state.page = data?.page ?? state.page;
  state.send = () => setTriggerValue("popstate", Date.now());
  if (!state.heard) {
    // of a change of the page Streamlit tells the server itself
    state.heard = () => {
      if (here()) state.send();
    };
    window.addEventListener("popstate", state.heard);
  }
  const search = new URLSearchParams(location.search);
  const lacks = Object.entries(data?.picture ?? {}).filter(([name]) => !search.has(name));
  if (lacks.length && here()) {
    for (const [name, value] of lacks) search.set(name, value);
    // in place of the address, not after it: going back would lead here again
    history.replaceState(history.state, "", `${location.pathname}?${search}`);
  }
  return () => {
    window.removeEventListener("popstate", state.heard);
    state.heard = null;
  };
}
