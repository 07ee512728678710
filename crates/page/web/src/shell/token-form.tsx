// Asked for when the observatory refuses.

import { useEffect, useState } from "preact/hooks";

import { onRefused, setToken } from "../query/token";

export function TokenForm() {
  const [asked, setAsked] = useState(false);
  const [text, setText] = useState("");
  useEffect(() => onRefused(() => setAsked(true)), []);
  if (!asked) return null;
  return (
    <form
      class="card search"
      onSubmit={(event) => {
        event.preventDefault();
        setToken(text);
        location.reload();
      }}
    >
      <input type="password" autocomplete="off" aria-label="Token" placeholder="This observatory asks for its --token" value={text} onInput={(event) => setText(event.currentTarget.value)} />
      <button class="button primary">Continue</button>
    </form>
  );
}
