"""Mutation testing of the checkers and of the store commands: the tests must fail when one of their rules is wrong.

    python -m benchmarks.mutants                 200 mutants, seed 1, by the quick tests
    python -m benchmarks.mutants --seed 7 --count 50 --only 'harness/checkers/*'

A mutant is the source with one small change (`<` for `<=`, a condition negated, a statement left out). It is *killed* if a
quick test fails, the module cannot be imported, or the tests do not end; it *survives* otherwise. A survivor is either a
missing test or a change without an effect; the second kind stands in `explained.toml`, with the reason.

The method is that of DeMillo, Lipton and Sayward, "Hints on test data selection", IEEE Computer 11(4), 1978. The operators for
relations, logic and arithmetic are among the sufficient ones of Offutt et al., "An experimental determination of sufficient
mutant operators", TOSEM 5(2), 1996; those for constants and the deletion of statements are additions.
"""
