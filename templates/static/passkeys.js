// Asks the browser for a passkey and puts the answer into the form, which is then posted like any other.
"use strict";

const bytes = (text) =>
  Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (letter) => letter.charCodeAt(0));

const text = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

const named = (list) => (list ?? []).map((one) => ({ ...one, id: bytes(one.id) }));

// What the server says, as the browser wants it.
function wanted(publicKey) {
  const key = { ...publicKey, challenge: bytes(publicKey.challenge) };
  if (key.user) key.user = { ...key.user, id: bytes(key.user.id) };
  if (key.excludeCredentials) key.excludeCredentials = named(key.excludeCredentials);
  if (key.allowCredentials) key.allowCredentials = named(key.allowCredentials);
  return key;
}

// What the authenticator says, as the server wants it.
function told(credential) {
  const { response } = credential;
  const answer = { clientDataJSON: text(response.clientDataJSON) };
  if (response.attestationObject) {
    answer.attestationObject = text(response.attestationObject);
    answer.transports = response.getTransports?.() ?? [];
  } else {
    answer.authenticatorData = text(response.authenticatorData);
    answer.signature = text(response.signature);
    answer.userHandle = response.userHandle ? text(response.userHandle) : null;
  }
  const extensions = credential.getClientExtensionResults();
  return JSON.stringify({ id: credential.id, rawId: text(credential.rawId), type: credential.type, response: answer, extensions });
}

async function begin(form) {
  const answer = await fetch(form.dataset.passkey, {
    method: "POST",
    body: new URLSearchParams({ csrf: form.dataset.csrf ?? form.elements.csrf.value }),
    headers: { accept: "application/json" },
  });
  // Somebody who has to show first who they are.
  if (answer.status === 401) return location.assign((await answer.json()).onward);
  if (!answer.ok) throw new Error(String(answer.status));
  return answer.json();
}

function send(form, ceremony, credential) {
  form.elements.ceremony.value = ceremony;
  form.elements.credential.value = told(credential);
  form.submit();
}

// Only one question can be open: the one in the autofill list ends when a button asks.
let open;

// A challenge is good for five minutes; a page that is open longer asks anew, for an hour.
const RENEWED = 4 * 60 * 1000;

async function conditional(form, left = 15) {
  if (!(await PublicKeyCredential.isConditionalMediationAvailable?.())) return;
  const { publicKey, ceremony } = await begin(form);
  open = new AbortController();
  const asked = open;
  const renew = setTimeout(() => {
    asked.abort();
    if (left) conditional(form, left - 1).catch(() => {});
  }, RENEWED);
  asked.signal.addEventListener("abort", () => clearTimeout(renew));
  const credential = await navigator.credentials.get({
    publicKey: wanted(publicKey),
    mediation: "conditional",
    signal: asked.signal,
  });
  if (credential) send(form, ceremony, credential);
}

if (window.PublicKeyCredential && window.isSecureContext) {
  for (const form of document.querySelectorAll("form[data-passkey]")) {
    const fault = form.querySelector(".fault");
    form.hidden = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      fault.textContent = "";
      const button = form.querySelector("button");
      button.disabled = true;
      try {
        open?.abort();
        const options = await begin(form);
        if (!options) return;
        const publicKey = wanted(options.publicKey);
        const credential = publicKey.user
          ? await navigator.credentials.create({ publicKey })
          : await navigator.credentials.get({ publicKey });
        send(form, options.ceremony, credential);
      } catch (error) {
        // The authenticator has one of this account already.
        const known = error.name === "InvalidStateError" && form.dataset.known;
        fault.textContent = known || form.dataset.failed;
        button.disabled = false;
      }
    });
    if ("conditional" in form.dataset) conditional(form).catch(() => {});
  }
}
