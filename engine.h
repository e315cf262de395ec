/* Included before the C code that mypyc writes of autograd_mini/engine.py.

   mypyc frees every object through CPython's trashcan: where containers are freed within containers, many deep, it
   chains those that have to wait by their collector headers. Nodes have no such header (acyclic=True), so it would
   write over whatever lies before them. They need no trashcan: a node has let go of its operands before it is freed,
   see Recycler. */
#include <Python.h>
#undef Py_TRASHCAN_BEGIN
#undef Py_TRASHCAN_END
#define Py_TRASHCAN_BEGIN(object, free) {
#define Py_TRASHCAN_END }
