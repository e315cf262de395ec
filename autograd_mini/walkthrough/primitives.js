// What the rows of the table need and JavaScript lacks. All other arithmetic is written out from the rows.
const primitives = (() => {
  const SERIES_ENDS = 1.25;

  // As in IEEE 754, and so in Python and NumPy, 1 to any power is 1, and so is -1 to an infinite one; in JavaScript
  // 1 to the power of NaN or of an infinity is NaN, and so is -1 to an infinite one.
  function pow(x, y) {
    return x === 1 || (x === -1 && Math.abs(y) === Infinity) ? 1 : Math.pow(x, y);
  }

  function erf(x) {
    if (Number.isNaN(x)) return NaN;
    if (Math.abs(x) < SERIES_ENDS) return series(x);
    return x < 0 ? tail(-x) - 1 : 1 - tail(x);
  }

  function erfc(x) {
    if (Number.isNaN(x)) return NaN;
    if (Math.abs(x) < SERIES_ENDS) return 1 - series(x);
    return x < 0 ? 2 - tail(-x) : tail(x);
  }

  // erf near 0: 2/√π exp(-x²) (x + 2x³/3 + 4x⁵/(3·5) + …). All terms have the sign of x, so nothing cancels.
  function series(x) {
    let term = x;
    let sum = x;
    for (let odd = 3; sum + term !== sum; odd += 2) {
      term *= (2 * x * x) / odd;
      sum += term;
    }
    return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
  }

  // erfc far from 0: exp(-x²)/√π / (x + (1/2)/(x + (2/2)/(x + (3/2)/(x + …)))), from the innermost fraction outwards.
  // The nearer x is to 0, the more fractions are needed.
  function tail(x) {
    if (x > 28) return 0; // below the smallest number there is
    let denominator = x;
    for (let n = Math.ceil(10 + 200 / (x * x)); n > 0; n--) denominator = x + n / 2 / denominator;
    // x² when rounded would cost digits, so exp(-x²) is made of two: the square of the first 24 bits of x is exact.
    const head = Math.fround(x);
    return (Math.exp(-head * head) * Math.exp((head - x) * (head + x))) / denominator / Math.sqrt(Math.PI);
  }

  return { pow, erf, erfc };
})();
