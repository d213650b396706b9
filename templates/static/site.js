// What the pages do better with a script. Without it everything works.
"use strict";

// A referral code is checked while it is typed.
for (const input of document.querySelectorAll("input[data-check-at]")) {
  const status = document.getElementById(input.id + "-status");
  if (!status) continue;
  let timer, asked = 0;
  const show = (message, good) => {
    status.textContent = message;
    status.classList.toggle("good", Boolean(message) && good);
    status.classList.toggle("bad", Boolean(message) && !good);
  };
  const check = async () => {
    const turn = ++asked;
    const code = input.value.trim();
    if (code.length < 4) return show("", false);
    try {
      const answer = await fetch(input.dataset.checkAt + "?code=" + encodeURIComponent(code), {
        headers: { accept: "application/json" },
      });
      // An answer that was overtaken by further typing is of no interest.
      if (turn !== asked || !answer.ok) return;
      const { valid, message } = await answer.json();
      if (turn === asked) show(message, valid);
    } catch {
      // The form is checked again when it is sent.
    }
  };
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(check, 300);
  });
}

// The link to share gets a button that copies it.
for (const input of document.querySelectorAll("input[data-copy]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "plain copy";
  button.textContent = input.dataset.copy;
  button.setAttribute("aria-live", "polite");
  button.addEventListener("click", async () => {
    input.select();
    try {
      await navigator.clipboard.writeText(input.value);
      button.textContent = input.dataset.copied;
      setTimeout(() => (button.textContent = input.dataset.copy), 2000);
    } catch {
      // It is selected: the person can copy it.
    }
  });
  input.after(button);
}

// Once every app has heard of the sign-out, or has not answered for a few seconds, it goes on. Without a script the page
// waits for who reads it (WCAG 2.2.1), and does not say otherwise.
for (const onward of document.querySelectorAll("a[data-onward]")) {
  document.querySelector("[data-soon]")?.removeAttribute("hidden");
  const frames = [...document.querySelectorAll(".frames iframe")];
  // A frame may have finished before this script began: give those a moment.
  const heard = frames.map((frame) => new Promise((done) => frame.addEventListener("load", done, { once: true })));
  Promise.race([Promise.all(heard), new Promise((late) => setTimeout(late, 4000))]).then(() =>
    setTimeout(() => location.replace(onward.href), 700),
  );
}

// Faults are read out and reached first.
document.getElementById("faults")?.focus();

// On a narrow screen the sections scroll sideways: the one that is open comes into view.
const open = document.querySelector(".sections [aria-current]");
if (open) open.closest("ul").scrollLeft = open.offsetLeft - 24;
