// Tells the server which row of a table was opened. It stands in the part of the page that shows the
// row, because Streamlit draws anew the part in which something was told. BSD-3-Clause.

export default function ({ data, parentElement, setTriggerValue }) {
  parentElement.velovi ??= {};
  const state = parentElement.velovi;
  state.table = data?.table ?? state.table;
  // what is shown now, also where no chart can say so
  if (data?.row) window.dispatchEvent(new CustomEvent("velovi-shown", { detail: data.row }));
  state.send = (row) => setTriggerValue("row", row);
  if (!state.heard) {
    state.heard = ({ detail }) => {
      if (detail.table === state.table) state.send(detail.row);
    };
    window.addEventListener("velovi-open", state.heard);
  }
  return () => {
    window.removeEventListener("velovi-open", state.heard);
    state.heard = null;
  };
}
