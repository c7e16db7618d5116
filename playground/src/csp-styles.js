// What <style> elements and style attributes do, through the CSSOM: see build/csp-styles-plugin.js.

/** Stands in for a <style> element; its rules are a constructed sheet, adopted where it is placed. */
class ConstructedStyle extends HTMLElement {
  sheet = new CSSStyleSheet();
  #root = null;

  connectedCallback() {
    this.hidden = true;
    this.#root = this.getRootNode();
    this.#root.adoptedStyleSheets = [...this.#root.adoptedStyleSheets, this.sheet];
  }

  disconnectedCallback() {
    this.#root.adoptedStyleSheets = this.#root.adoptedStyleSheets.filter((sheet) => sheet !== this.sheet);
  }

  get textContent() {
    return super.textContent;
  }

  set textContent(css) {
    super.textContent = css;
    this.sheet.replaceSync(css);
  }

  appendChild(node) {
    super.appendChild(node);
    this.sheet.replaceSync(super.textContent);
    return node;
  }
}
customElements.define('constructed-style', ConstructedStyle);

/** In place of `document.createElement('style')`. */
export function createStyle() {
  return new ConstructedStyle();
}

const HELD = 'data-style';

/** Parses markup with its style attributes held back, then applies them as properties. */
function parse(html) {
  const template = document.createElement('template');
  template.innerHTML = String(html).replace(/<[a-z][^<>]*>/gi, (tag) => tag.replaceAll(' style=', ` ${HELD}=`));
  for (const element of template.content.querySelectorAll(`[${HELD}]`)) {
    element.style.cssText = element.getAttribute(HELD);
    element.removeAttribute(HELD);
  }
  return template.content;
}

/** In place of `element.innerHTML = html`. */
export function setMarkup(element, html) {
  element.replaceChildren(parse(html));
}

/** In place of `element.insertAdjacentHTML('afterend', html)`. */
export function insertMarkupAfter(element, html) {
  element.after(parse(html));
}
