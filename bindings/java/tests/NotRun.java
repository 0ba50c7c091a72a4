/** What a test needs is not here. */
final class NotRun extends RuntimeException {
    private static final long serialVersionUID = 1;

    NotRun(String why) {
        super(why);
    }
}
