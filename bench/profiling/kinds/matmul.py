"""A limit of the machine: the FLOP/s of its fastest product of two matrices."""

from bench.profiling.kind import Limit

KIND = Limit("matmul", "flops_per_s")
