// Runs every method that is marked as a test, each beside a store of its own. No package: what the JDK has is enough.

import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;

final class Runner {
    private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    private static int passed;
    private static int failed;

    public static void main(String[] arguments) throws Exception {
        if (arguments.length > 0 && arguments[0].equals("morning")) Day.morning(arguments[1], arguments[2]);
        List<Method> tests = Stream.of(Day.class, Edits.class, Syncs.class)
            .flatMap(type -> Arrays.stream(type.getDeclaredMethods()))
            .filter(method -> method.isAnnotationPresent(Test.class))
            .filter(method -> arguments.length == 0 || method.getName().contains(arguments[0]))
            .sorted(Comparator.comparing(Method::getName))
            .toList();
        for (Method test : tests) run(test);
        OUT.println(passed + " passed, " + failed + " failed");
        System.exit(passed > 0 && failed == 0 ? 0 : 1);
    }

    private static void run(Method test) throws Exception {
        long since = System.currentTimeMillis();
        try (Shop shop = new Shop()) {
            test.invoke(null, shop);
            passed++;
            OUT.println("ok      " + test.getName() + " (" + (System.currentTimeMillis() - since) + " ms)");
        } catch (InvocationTargetException told) {
            if (told.getCause() instanceof NotRun why) {
                OUT.println("NOT RUN " + test.getName() + ": " + why.getMessage());
                return;
            }
            failed++;
            OUT.println("FAILED  " + test.getName());
            told.getCause().printStackTrace(OUT);
        }
    }

    private Runner() {}
}
