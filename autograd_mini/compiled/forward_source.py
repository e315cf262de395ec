"""The way forward as NumPy source code."""

from dataclasses import replace

from autograd_mini.compiled.arrays import Arrays
from autograd_mini.compiled.contraction import Factor
from autograd_mini.compiled.formulas import FUNCTIONS, simplified
from autograd_mini.compiled.program import Program, Rows, Step
from autograd_mini.compiled.row_formulas import FORWARD, formulas_of, known
from autograd_mini.compiled.scalars import CONDITIONS
from autograd_mini.compiled.statements import formula_lines, product_lines, reduce_line, rule_call
from autograd_mini.ops import Op


class ForwardSource:
    """The statements that run the steps of a program."""

    def __init__(self, program: Program, arrays: Arrays) -> None:
        self.lines: list[str] = []
        self.weights: dict[int, Factor] = {}
        """Of each log-sum-exp, by its place among the steps, the derivatives by its terms."""
        self._program, self._arrays = program, arrays
        for place, step in enumerate(program.steps):
            arrays.begin(step)
            self._add(place, step)

    def _add(self, place: int, step: Step) -> None:
        arrays = self._arrays
        target = arrays.view(arrays.result(step), step.outer)
        inner = tuple(range(len(step.outer), len(step.sizes)))
        if isinstance(step.kind, Op):
            self._row(step, step.kind, target)
        elif step.kind == "gather":
            self._gather(step, target)
        elif step.kind == "sum":
            operand = arrays.full_view(arrays.factor(step.operands[0]), step)
            self.lines.append(reduce_line(operand, inner, target))
        elif step.kind == "dot":
            left, right = map(arrays.factor, step.operands)
            self.lines += product_lines(arrays, left, right, arrays.result_on_all(step), step.sizes, is_first=True)
        elif step.kind == "logsumexp":
            self.weights[place] = arrays.kept(step)
            operand, weights = (
                arrays.full_view(each, step) for each in (arrays.factor(step.operands[0]), self.weights[place])
            )
            work = replace(arrays.work(step.outer, step.is_batched), strides=step.result_strides)
            out, spare = (arrays.view(each, step.sizes) for each in (arrays.result_on_all(step), work))
            self.lines.append(f"logsumexp({operand}, {inner}, {weights}, {out}, {spare})")
        else:
            self._choice(step, target)

    def _gather(self, step: Step, target: str) -> None:
        (operand,) = step.operands
        assert isinstance(operand, Rows)
        groups = self._program.groups
        size = groups[operand.buffer].size if operand.buffer < len(groups) else int(operand.rows.max()) + 1
        everything = self._arrays.view(Factor(self._arrays.names[operand.buffer], 0, (1,), step.is_batched), (size,))
        rows = self._arrays.add_object("rows", operand.rows)
        self.lines.append(f'take({everything}, {rows}, 0, {target}, "clip")')  # "raise" would copy it first

    def _row(self, step: Step, op: Op, target: str) -> None:
        names = self._arrays.operand_texts(step)
        found = formulas_of(op)
        if op in FORWARD:
            self.lines += [line.format(out=target, **names) for line in FORWARD[op]]
        elif found is None:
            self.lines.append(f"copyto({target}, {rule_call(self._arrays, op.forward, names, step)})")
        else:
            self.lines += formula_lines(self._arrays, simplified(found[0], known(step)), names, step, target)

    def _choice(self, step: Step, target: str) -> None:
        texts = list(self._arrays.operand_texts(step).values())
        if step.kind == "and":
            self.lines.append(f"multiply({', '.join(texts)}, {target})")
        elif step.kind in CONDITIONS:
            self.lines.append(f"{FUNCTIONS[str(step.kind)]}({', '.join(texts)}, {target})")
        else:
            mask = self._arrays.view(self._arrays.work(step.outer, step.is_batched, is_condition=True), step.outer)
            self.lines.append(f"greater({texts[0]}, 0.5, {mask})")
            self.lines.append(f"copyto({target}, {texts[2]})")
            self.lines.append(f"copyto({target}, {texts[1]}, where={mask})")
