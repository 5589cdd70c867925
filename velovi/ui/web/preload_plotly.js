// Loads Plotly before the first figure asks for it: once in a page, at once or when the browser has
// nothing to do. Part of veloVI Explorer, BSD-3-Clause.

export default function ({ data }) {
  if (window.veloviWarm) return;
  window.veloviWarm = true;
  const load = () => import(new URL(data.path, document.baseURI)).catch(() => {});
  if (data.now) load();
  else setTimeout(() => (window.requestIdleCallback ?? setTimeout)(load), data.wait);
}
