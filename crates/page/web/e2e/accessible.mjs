// What a screen reader and a weak eye need of a view, as far as a program can tell; runs inside the page.

/** What is wrong, one line each. */
export function faultsOf() {
  const faults = [];
  const say = (what, element) => faults.push(`${what}: ${element.outerHTML.slice(0, 120)}`);
  const isSeen = (element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  const nameOf = (element) => element.ariaLabel ?? (element.textContent.trim() || element.title || element.labels?.[0]?.textContent || element.querySelector("img")?.alt || "");

  if (document.documentElement.lang === "") faults.push("the page has no language");
  if (document.title === "") faults.push("the page has no title");
  for (const landmark of ["main", "nav", "h1"]) if (document.querySelectorAll(landmark).length !== 1) faults.push(`${document.querySelectorAll(landmark).length} of ${landmark}`);
  for (const control of document.querySelectorAll("a[href], button, input, select, [role=img], [role=status]")) {
    if (isSeen(control) && nameOf(control) === "") say("no name", control);
  }
  for (const image of document.querySelectorAll("img")) if (!image.hasAttribute("alt")) say("no alternative text", image);
  for (const drawing of document.querySelectorAll("svg")) if (drawing.getAttribute("role") !== "img" && drawing.ariaHidden !== "true") say("neither named nor hidden", drawing);
  for (const cell of document.querySelectorAll("th")) if (cell.textContent.trim() === "") say("a column without a name", cell);
  const ids = [...document.querySelectorAll("[id]")].map(({ id }) => id);
  for (const id of new Set(ids)) if (ids.filter((other) => other === id).length > 1) faults.push(`two elements are called ${id}`);
  let level = 0;
  for (const heading of document.querySelectorAll("h1, h2, h3, h4")) {
    const next = Number(heading.tagName[1]);
    if (next > level + 1) say(`a heading of level ${next} after one of level ${level}`, heading);
    level = next;
  }

  const paint = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const over = (colours) => {
    paint.fillStyle = "#ffffff";
    paint.fillRect(0, 0, 1, 1);
    for (const colour of colours) {
      paint.fillStyle = colour;
      paint.fillRect(0, 0, 1, 1);
    }
    return [...paint.getImageData(0, 0, 1, 1).data.slice(0, 3)];
  };
  const luminance = (rgb) => {
    const [red, green, blue] = rgb.map((part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (walker.currentNode.textContent.trim() === "" || !isSeen(element) || element.closest("svg, .visually-hidden, .off")) continue;
    const behind = [];
    for (let at = element; at !== null; at = at.parentElement) behind.unshift(getComputedStyle(at).backgroundColor);
    const style = getComputedStyle(element);
    const [ground, text] = [luminance(over(behind)), luminance(over([...behind, style.color]))];
    const contrast = (Math.max(ground, text) + 0.05) / (Math.min(ground, text) + 0.05);
    const size = Number.parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (contrast < (isLarge ? 3 : 4.5)) say(`a contrast of ${contrast.toFixed(2)}`, element);
  }
  return faults;
}
