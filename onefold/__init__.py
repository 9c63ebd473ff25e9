"""What Onefold's wheel shows to others: the command `onefold`, and `onefold.testing`, fixtures for pytest.

The service itself is the packages `app` and `workers`. Many projects have an `app` of their own, and the fixtures run
in their tests. So the wheel has the two in `onefold/service`, where nobody finds them but the processes of Onefold. In
a checkout they lie beside this package.
"""
