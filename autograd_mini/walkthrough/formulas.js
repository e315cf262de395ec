// Numbers and names as text, as MathML and as words; formulas from templates with slots.
const formulas = (() => {
  const MATHML = 'http://www.w3.org/1998/Math/MathML';
  const MINUS = '−';
  const SLOT = /\ue000([ngds])(.*?)(!?)\ue001/gsu;
  const INDICES = {
    raised: { signs: '⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾', plain: '0123456789+−=()' },
    lowered: { signs: '₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎,', plain: '0123456789+−=(),' },
  };

  // Numbers

  function plainNumber(x, digits) {
    if (Number.isNaN(x)) return 'NaN';
    if (!Number.isFinite(x)) return x > 0 ? '∞' : '-∞';
    const [mantissa, exponentText] = Math.abs(x).toExponential(digits - 1).split('e');
    const exponent = Number(exponentText);
    const sign = x < 0 || Object.is(x, -0) ? '-' : '';
    if (exponent < -4 || exponent >= digits) {
      const size = String(Math.abs(exponent)).padStart(2, '0');
      return `${sign}${withoutZeros(mantissa)}e${exponent < 0 ? '-' : '+'}${size}`;
    }
    return sign + withoutZeros(Math.abs(x).toFixed(Math.max(0, digits - 1 - exponent)));
  }

  function withoutZeros(text) {
    return text.includes('.') ? text.replace(/\.?0+$/, '') : text;
  }

  // Six digits, as formulas show them.
  function numberText(x) {
    return plainNumber(x, 6).replace(/^-/, MINUS);
  }

  // The same where there is room for 3.9×10⁻⁵ instead of 3.9e-05.
  function writtenNumber(x) {
    const [digits, exponent] = numberText(x).split('e');
    if (!exponent) return digits;
    const signs = String(Number(exponent)).replace('-', MINUS);
    const raised = [...signs].map((sign) => INDICES.raised.signs[INDICES.raised.plain.indexOf(sign)]);
    return `${digits}×10${raised.join('')}`;
  }

  // Four digits, as the boxes of the graph have room for.
  function shortNumber(x) {
    if (Number.isFinite(x) && Math.abs(x) < 1e6 && (Number.isInteger(x) || Math.abs(x) >= 1e3)) {
      return x.toFixed(0).replace(/^-/, MINUS);
    }
    const text = plainNumber(x, 4).replace(/^-/, MINUS);
    // 1.99999 is no integer: 2.000
    return Number.isFinite(x) && /^−?\d+$/.test(text) ? x.toPrecision(4).replace(/^-/, MINUS) : text;
  }

  // Every digit: what a reader who points at a number gets.
  function exactNumber(x) {
    return Object.is(x, -0) ? '-0' : String(x);
  }

  // Elements. Text comes in as text, never as markup.

  function element(tag, ...children) {
    const node = document.createElementNS(MATHML, tag);
    node.append(...children);
    return node;
  }

  function numberElement(x) {
    const [digits, exponent] = numberText(Math.abs(x)).split('e');
    const parts = x < 0 || Object.is(x, -0) ? [operator(MINUS, 'prefix')] : [];
    parts.push(element('mn', digits));
    if (exponent) {
      const power = element('mn', String(Number(exponent)).replace('-', MINUS));
      parts.push(element('mo', '×'), element('msup', element('mn', '10'), power));
    }
    return element('mrow', ...parts);
  }

  // A name in three parts: w⁰₁₁ is w with 0 above and 11 below.
  function partsOfName(name) {
    const letters = [...name];
    const runs = { raised: '', lowered: '' };
    let end = letters.length;
    while (end > 1) {
      const kind = Object.keys(runs).find((each) => INDICES[each].signs.includes(letters[end - 1]));
      if (!kind || letters[end - 1] === ',' && !runs.lowered) break;
      const place = INDICES[kind].signs.indexOf(letters[end - 1]);
      runs[kind] = [...INDICES[kind].plain][place] + runs[kind];
      end -= 1;
    }
    return { base: letters.slice(0, end).join(''), raised: runs.raised, lowered: runs.lowered };
  }

  function nameElement(name) {
    const { base, raised, lowered } = partsOfName(name);
    const derivative = /^D_(.+)$/su.exec(base);
    // D_W¹: the D of the sources' notation, with all of W¹ below it.
    if (derivative) return element('msub', element('mi', 'D'), nameElement(name.slice(2)));
    const letters = token(base);
    const below = lowered && element('mn', lowered);
    const above = raised && element('mn', raised);
    if (below && above) return element('msubsup', letters, below, above);
    if (below || above) return element(below ? 'msub' : 'msup', letters, below || above);
    return letters;
  }

  function token(text) {
    if (/^\p{L}(\p{L}|\p{M}|\p{N}|′)*$/u.test(text)) return element('mi', text);
    // MathML drops spaces at the ends and joins those within.
    return element('mtext', text.replaceAll(' ', '\u00a0'));
  }

  function fenced(content) {
    return element('mrow', operator('(', 'prefix'), content, operator(')', 'postfix'));
  }

  function operator(sign, form) {
    const found = element('mo', sign);
    found.setAttribute('form', form);
    return found;
  }

  // ∂ŷ/∂w; or the part of it that goes one way of several.
  function derivativeElement(above, below, via) {
    const side = (name) => element('mrow', element('mo', '∂'), nameElement(name));
    const fraction = element('mfrac', side(above), side(below));
    return via ? element('mrow', fraction, element('mtext', '\u00a0via\u00a0'), nameElement(via)) : fraction;
  }

  function equation(...parts) {
    const found = element('math', ...parts.map((part) => (typeof part === 'string' ? element('mo', part) : part)));
    found.setAttribute('displaystyle', 'true');
    return found;
  }

  // Templates: what Python wrote of our own signs, with slots for all that is a name or a number.

  const parsed = new Map();

  function parsedTemplate(markup) {
    if (!parsed.has(markup)) {
      const text = `<mrow xmlns="${MATHML}">${markup}</mrow>`;
      parsed.set(markup, new DOMParser().parseFromString(text, 'application/xml').documentElement);
    }
    return document.importNode(parsed.get(markup), true);
  }

  // The template as MathML; `fill(letter, content)` gives the element of a slot and whether it begins with a minus.
  function asElement(markup, contents, fill) {
    const row = parsedTemplate(markup);
    const walker = document.createTreeWalker(row, NodeFilter.SHOW_TEXT);
    const texts = [];
    while (walker.nextNode()) if (walker.currentNode.data.includes('\ue000')) texts.push(walker.currentNode);
    for (const text of texts) {
      const parts = [];
      for (const [, letter, key, mark] of text.data.matchAll(SLOT)) {
        if (letter === 's') parts.push(nameElement(key));
        else {
          const [filled, isNegative] = fill(letter, contents[Number(key)]);
          parts.push(mark && isNegative ? fenced(filled) : filled);
        }
      }
      text.replaceWith(...parts);
    }
    return row;
  }

  function asText(template, contents, fill) {
    return template.replace(SLOT, (_, letter, key, mark) => {
      const text = fill(letter, contents[Number(key)]);
      return mark && /^[−-]/.test(text) ? `(${text})` : text;
    });
  }

  // Words: what a screen reader is given to say. Signs that readers skip or read as punctuation are spelt out.

  function spokenName(name) {
    const { base, raised, lowered } = partsOfName(name);
    const letters = base.replace(/^D_/u, 'derivative by ').replace('ŷ', 'y-hat').replace('σ', 'sigma');
    return letters + (raised ? ` super ${raised}` : '') + (lowered ? ` sub ${lowered}` : '');
  }

  function spokenNumber(x) {
    if (Number.isNaN(x)) return 'not a number';
    return numberText(x)
      .replace(MINUS, 'minus ')
      .replace('∞', 'infinity')
      .replace(/e([+-])(\d+)/, (_, sign, size) => ` times 10 to the ${sign === '-' ? 'minus ' : ''}${Number(size)}`);
  }

  const WORDS = [
    [/ \+ /g, ' plus '],
    [/ − /g, ' minus '],
    [/−/g, 'minus '],
    [/·/g, ' times '],
    [/ \/ /g, ' over '],
    [/\^/g, ' to the power '],
    [/σ/g, 'sigma'],
    [/√/g, 'root'],
    [/(?<=[\p{L}\p{N}′])\(/gu, ' of ('],
    [/⊙/g, 'times, entry by entry, '],
  ];

  // Of a template, before names are put in: those are spoken as they are.
  function spokenSigns(template) {
    const inWords = (part) => WORDS.reduce((text, [sign, word]) => text.replace(sign, word), part);
    const parts = template.split(/(\ue000.*?\ue001)/su);
    return parts.map((part) => (part.startsWith('\ue000') ? part : inWords(part))).join('');
  }

  return {
    asElement, asText, derivativeElement, element, equation, exactNumber, fenced, nameElement, numberElement,
    numberText, partsOfName, shortNumber, spokenName, spokenNumber, spokenSigns, writtenNumber,
  };
})();
