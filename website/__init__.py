"""The site that `make site` builds from the docs, the reference pages made from the code, and the checks of both."""
