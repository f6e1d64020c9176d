"""Whether what is recorded is whole, in step, good enough, and the same when trained anew."""
