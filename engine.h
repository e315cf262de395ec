/* Included before the C code that mypyc writes of autograd_mini/engine.py.

   mypyc frees every object through CPython's trashcan, which chains objects that wait by their collector headers
   when containers are freed fifty deep. Nodes have no such header (acyclic=True), so it would write over whatever
   lies before them. They need no trashcan: a node has let go of its operands before it is freed, see Recycler. */
#include <Python.h>
#undef Py_TRASHCAN_BEGIN
#undef Py_TRASHCAN_END
#define Py_TRASHCAN_BEGIN(object, free) {
#define Py_TRASHCAN_END }
