// How strong a new password looks while it is typed: by its length and variety, and here alone. It never leaves the page
// before the form is sent; what counts is decided then.
"use strict";

for (const line of document.querySelectorAll("[data-strength-of]")) {
  const input = document.getElementById(line.dataset.strengthOf);
  if (!input) continue;
  const meter = document.createElement("meter");
  Object.assign(meter, { min: 0, max: 3, low: 1.5, high: 2.5, optimum: 3 });
  const words = document.createElement("span");
  words.setAttribute("role", "status");
  meter.setAttribute("aria-hidden", "true");
  line.append(meter, words);
  let timer;
  const show = () => {
    const text = input.value;
    line.hidden = !text;
    const letters = [...text];
    // Repeats and neighbours add little: what changes direction counts.
    let fresh = new Set(letters).size;
    for (let i = 1; i < letters.length; i++) {
      const step = letters[i].codePointAt(0) - letters[i - 1].codePointAt(0);
      if (Math.abs(step) > 1) fresh += 0.6;
    }
    const worth = fresh < 12 || letters.length < 8 ? 1 : fresh < 20 ? 2 : 3;
    meter.value = worth;
    // Read out when the typing rests.
    clearTimeout(timer);
    timer = setTimeout(() => {
      words.textContent = line.dataset[["weak", "fair", "good"][worth - 1]];
    }, 400);
  };
  input.addEventListener("input", show);
  show();
}
