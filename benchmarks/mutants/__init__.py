"""Mutation testing of the checkers and of the store commands: the tests must fail when one of their rules is wrong.

    python -m benchmarks.mutants                 200 mutants, seed 1, by the quick tests
    python -m benchmarks.mutants --seed 7 --count 50 --only 'harness/checkers/*'

A mutant is the source with one small change (`<` for `<=`, a condition negated, a statement left out). It is *killed* if a
quick test fails, the module cannot be imported, or the tests do not end; it *survives* otherwise. A survivor is either a
missing test or a change without an effect; the second kind stands in `explained.toml`, with the reason.

The operators are those of DeMillo, Lipton and Sayward, "Hints on test data selection", IEEE Computer 1978, section 4, in the
small set that Offutt et al. found sufficient (TOSEM 1996): relational, logical, arithmetic, constant, statement deletion.
"""
