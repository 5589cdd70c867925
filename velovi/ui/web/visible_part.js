// Asks a map or a chart which part of it the reader sees, when the box to save it is opened, and
// tells the server. Part of veloVI Explorer, BSD-3-Clause.

export default function ({ data, parentElement, setTriggerValue }) {
  parentElement.velovi ??= {};
  const state = parentElement.velovi;
  state.send = (part) => setTriggerValue("part", part);
  if (!state.heard) {
    state.heard = ({ detail }) => {
      if (detail.target === state.target) state.send(detail.part);
    };
    window.addEventListener("velovi-part", state.heard);
  }
  if (data && !state.target) {
    state.target = data.target;
    window.dispatchEvent(new CustomEvent("velovi-part-query", { detail: data.target }));
  }
  return () => {
    window.removeEventListener("velovi-part", state.heard);
    state.heard = null;
  };
}
