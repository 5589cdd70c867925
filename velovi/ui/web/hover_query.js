// Asks the server for the name and the exact values of the cell under the pointer. It is apart
// from the map, so that asking does not send the map again. Part of veloVI Explorer, BSD-3-Clause.

export default function ({ data, parentElement, setTriggerValue }) {
  parentElement.velovi ??= {};
  const state = parentElement.velovi;
  state.send = (detail) => setTriggerValue("ask", detail);
  if (!state.heard) {
    state.heard = (event) => state.send(event.detail);
    window.addEventListener("velovi-ask", state.heard);
  }
  if (data) window.dispatchEvent(new CustomEvent("velovi-cell", { detail: data }));
  return () => {
    window.removeEventListener("velovi-ask", state.heard);
    state.heard = null;
  };
}
