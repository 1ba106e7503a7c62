package invalid.outrigger.conformance;

import java.util.Arrays;
import java.util.concurrent.CountDownLatch;
import org.springframework.boot.WebApplicationType;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.builder.SpringApplicationBuilder;

/**
 * A plugin runner with plugins that show a gateway's conformance suite what a Java plugin learns
 * and can do.
 *
 * <p>With the argument "linger" it stays after SIGTERM, as a runner does whose clean-up hangs.
 */
@SpringBootApplication(
    scanBasePackages = {"org.apache.apisix.plugin.runner", "invalid.outrigger.conformance"})
public class RunnerApplication {

  public static void main(String[] args) {
    if (Arrays.asList(args).contains("linger")) {
      Runtime.getRuntime().addShutdownHook(new Thread(RunnerApplication::waitForever));
    }
    new SpringApplicationBuilder(RunnerApplication.class).web(WebApplicationType.NONE).run(args);
  }

  private static void waitForever() {
    try {
      new CountDownLatch(1).await();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
