"""Parts that several runbooks share: the site, looks at it, rollouts, releases, balancers, packages, preconditions.

Nothing here changes a host; parts return facts and steps.
"""
