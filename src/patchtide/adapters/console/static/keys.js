// A form that needs a security key: the browser is asked for it, and what it says goes with the form.
"use strict";
(() => {
  const bytes = (text) => Uint8Array.from(
    atob(text.replaceAll("-", "+").replaceAll("_", "/")), (one) => one.charCodeAt(0));
  const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
  const named = (keys) => (keys ?? []).map((key) => ({ ...key, id: bytes(key.id) }));

  // Older browsers have no parseCreationOptionsFromJSON and no toJSON.
  const options = (said) => {
    const made = { ...said, challenge: bytes(said.challenge) };
    if (said.user) made.user = { ...said.user, id: bytes(said.user.id) };
    if (said.excludeCredentials) made.excludeCredentials = named(said.excludeCredentials);
    if (said.allowCredentials) made.allowCredentials = named(said.allowCredentials);
    return made;
  };
  const said = (credential) => {
    const response = {};
    for (const part of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
      if (credential.response[part]) response[part] = text(credential.response[part]);
    }
    return JSON.stringify({
      id: credential.id, rawId: text(credential.rawId), type: credential.type, response,
      clientExtensionResults: {},
    });
  };
  const WHY = {
    NotAllowedError: "No key answered, or it was cancelled. A browser that warns of this site's certificate uses none either: have it trust the site's authority.",
    InvalidStateError: "This key is registered already.",
    SecurityError: "This browser uses no security key at this address.",
  };

  for (const form of document.querySelectorAll("form[data-key]")) {
    const problem = form.querySelector("[data-key-problem]");
    const tell = (what) => {
      problem.textContent = what;
      problem.hidden = false;
    };
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (!navigator.credentials || !window.PublicKeyCredential) return tell("This browser knows no security keys.");
      const button = form.querySelector("button");
      problem.hidden = true;
      button.disabled = true;
      try {
        const publicKey = options(JSON.parse(form.dataset.options).publicKey);
        const asked = form.dataset.key === "create"
          ? navigator.credentials.create({ publicKey }) : navigator.credentials.get({ publicKey });
        form.querySelector("[name$=credential]").value = said(await asked);
        form.submit();
      } catch (error) {
        button.disabled = false;
        tell(WHY[error.name] ?? String(error));
      }
    });
  }
})();
